package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	minusSign = "\u2212"
	noBreak   = "\u00a0" // keeps a number and its unit on one line
)

// decimals returns how many decimals write every price of the candles exactly:
// at least 2, at most 8.
func decimals(candles []market.Candle) int {
	most := 2
	var text []byte
	for i := range candles {
		c := &candles[i]
		for _, price := range [...]float64{c.Open, c.High, c.Low, c.Close} {
			text = strconv.AppendFloat(text[:0], price, 'f', -1, 64)
			for k, digit := range text {
				if digit == '.' {
					most = max(most, len(text)-k-1)
					break
				}
			}
		}
	}
	return min(most, 8)
}

// formatNumber writes a number with that many decimals, commas between
// thousands and a real minus sign.
func formatNumber(value float64, decimals int) string {
	text := strconv.FormatFloat(math.Abs(value), 'f', decimals, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for k := len(whole) - 3; k > 0; k -= 3 {
		whole = whole[:k] + "," + whole[k:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	// What is rounded to zero has no sign.
	if value < 0 && strings.ContainsAny(text, "123456789") {
		return minusSign + whole
	}
	return whole
}

func formatCount(n int) string { return formatNumber(float64(n), 0) }

// formatSigned writes a plus sign before what is above zero.
func formatSigned(value float64, decimals int) string {
	text := formatNumber(value, decimals)
	if value > 0 && strings.ContainsAny(text, "123456789") {
		return "+" + text
	}
	return text
}

// formatShare writes a share in [0, 1] in percent.
func formatShare(share float64, decimals int) string {
	return formatNumber(100*share, decimals) + noBreak + "%"
}

// formatInstant writes an instant to the minute, to the second where it is not
// on a minute.
func formatInstant(t time.Time) string {
	layout := "2006-01-02 15:04"
	if t.Second() != 0 {
		layout = "2006-01-02 15:04:05"
	}
	return t.UTC().Format(layout) + noBreak + "UTC"
}

func formatDay(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// formatRange writes a range of days by its first and its last day.
func formatRange(r market.TimeRange) string {
	return formatDay(r.Start) + " to " + formatDay(r.End.Add(-1))
}

// formatSpan writes a length of time in the coarsest unit of which it has at
// least two.
func formatSpan(span time.Duration) string {
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := int(span / unit.length); n >= 2 {
			return plural(n, unit.name)
		}
	}
	return "less than two minutes"
}

// formatHalves writes a length of time as formatSpan does, to half a day.
func formatHalves(span time.Duration) string {
	const day = 24 * time.Hour
	if span > 2*day && span%day == day/2 {
		return formatNumber(span.Hours()/24, 1) + noBreak + "days"
	}
	return formatSpan(span)
}

// formatAge says how long before now an instant was.
func formatAge(t, now time.Time) string {
	if age := now.Sub(t); age >= 0 {
		return formatSpan(age) + " ago"
	}
	return "in " + formatSpan(t.Sub(now))
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%s%s%s", formatCount(n), noBreak, noun)
}

// sentence makes a sentence of an error's message.
func sentence(message string) string {
	first, size := utf8.DecodeRuneInString(message)
	text := string(unicode.ToUpper(first)) + message[size:]
	if strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}
