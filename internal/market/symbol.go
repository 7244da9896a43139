package market

import "strings"

// Symbol is a traded pair under Binance's name for it, such as BTCUSDT.
type Symbol string

// maxSymbolLength is above Binance's longest name.
const maxSymbolLength = 20

// ParseSymbol returns the symbol of that name, letters in either case, or an
// Invalid error that says what a symbol looks like. It does not ask whether
// anybody trades it.
func ParseSymbol(name string) (Symbol, error) {
	valid := len(name) >= 2 && len(name) <= maxSymbolLength
	for _, r := range name {
		valid = valid && (r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	}
	if !valid {
		return "", Errorf(Invalid, "symbol %q is not a pair: use 2 to %d letters and digits, such as BTCUSDT",
			clip(name), maxSymbolLength)
	}
	return Symbol(strings.ToUpper(name)), nil
}

// clip shortens foreign text for an error message.
func clip(text string) string {
	const limit = 40
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// Series is what a sequence of candles is of: one symbol at one interval.
type Series struct {
	Symbol   Symbol
	Interval Interval
}

// String returns the series as people write it, such as "BTCUSDT 15m".
func (s Series) String() string { return string(s.Symbol) + " " + string(s.Interval) }
