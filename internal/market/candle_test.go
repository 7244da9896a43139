package market

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

func TestValidateNamesTheFirstWrongField(t *testing.T) {
	good := Candle{
		Open: 10, High: 12, Low: 9, Close: 11, Volume: 5,
		QuoteVolume: Some(50.0), Trades: Some(int64(3)), TakerBuyVolume: Some(2.0), TakerBuyQuoteVolume: Some(20.0),
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	still := Candle{Open: 10, High: 10, Low: 10, Close: 10}
	if err := still.Validate(); err != nil {
		t.Errorf("a candle without trades: %v", err)
	}
	for _, test := range []struct {
		says   string
		damage func(*Candle)
	}{
		{"open is 0", func(c *Candle) { c.Open = 0 }},
		{"low is -9", func(c *Candle) { c.Low = -9 }},
		{"close is NaN", func(c *Candle) { c.Close = math.NaN() }},
		{"high is +Inf", func(c *Candle) { c.High = math.Inf(1) }},
		{"high 10.5 is below", func(c *Candle) { c.High = 10.5 }},
		{"low 10.5 is above", func(c *Candle) { c.Low = 10.5 }},
		{"volume is -1", func(c *Candle) { c.Volume = -1 }},
		{"volume is NaN", func(c *Candle) { c.Volume = math.NaN() }},
		{"quote volume is -1", func(c *Candle) { c.QuoteVolume = Some(-1.0) }},
		{"volume is 1e+308", func(c *Candle) { c.Volume = 1e308 }},
		{"trades is 9000000000000000000", func(c *Candle) { c.Trades = Some(int64(9e18)) }},
		{"trades is -3", func(c *Candle) { c.Trades = Some(int64(-3)) }},
		{"taker buy volume 6 is above", func(c *Candle) { c.TakerBuyVolume = Some(6.0) }},
		{"taker buy quote volume 51 is above", func(c *Candle) { c.TakerBuyQuoteVolume = Some(51.0) }},
	} {
		c := good
		test.damage(&c)
		if err := c.Validate(); ErrorCode(err) != Invalid || !strings.Contains(err.Error(), test.says) {
			t.Errorf("wanted %q, got %v", test.says, err)
		}
	}
}

func TestCompleteKnowsTheCalendar(t *testing.T) {
	february := Candle{OpenTime: at("2024-02-01T00:00:00Z"), Source: Day1, Parts: 29}
	if !february.Complete(Month1) {
		t.Error("29 days are all of February 2024")
	}
	january := Candle{OpenTime: at("2024-01-01T00:00:00Z"), Source: Day1, Parts: 30}
	if january.Complete(Month1) {
		t.Error("30 days are not all of January")
	}
}

func TestErrorsTellOnlyWhatTheyMay(t *testing.T) {
	known := fmt.Errorf("read the file /secret: %w", Errorf(NotFound, "no candles of %s", "X"))
	if ErrorCode(known) != NotFound || ErrorMessage(known) != "no candles of X" {
		t.Errorf("%s: %s", ErrorCode(known), ErrorMessage(known))
	}
	for _, err := range []error{io.ErrUnexpectedEOF, errors.New("password=hunter2"), Errorf(Internal, "hunter2")} {
		if ErrorCode(err) != Internal || ErrorMessage(err) != "internal error" {
			t.Errorf("%s: %s", ErrorCode(err), ErrorMessage(err))
		}
	}
	if ErrorCode(nil) != "" {
		t.Error("no error has a code")
	}
}

func TestParseSymbol(t *testing.T) {
	if s, err := ParseSymbol("btcusdt"); err != nil || s != "BTCUSDT" {
		t.Errorf("%q, %v", s, err)
	}
	for _, name := range []string{"", "B", "BTC/USDT", "BTC USDT", "ΒTCUSDT", "BTCUſDT", "<script>", strings.Repeat("A", 21), strings.Repeat("é", 1000)} {
		_, err := ParseSymbol(name)
		if ErrorCode(err) != Invalid || len(err.Error()) > 200 {
			t.Errorf("%.30q: %v", name, err)
		}
	}
}
