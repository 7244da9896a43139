package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// apiError is an error in Binance's form. Codes and texts are those of its
// documentation.
type apiError struct {
	Code    int    `json:"code"`
	Message string `json:"msg"`
}

func apiErrorf(code int, format string, arguments ...any) *apiError {
	return &apiError{Code: code, Message: fmt.Sprintf(format, arguments...)}
}

func (e *apiError) body() []byte {
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // an int and a string always marshal
	}
	return body
}

var (
	errInvalidSymbol   = &apiError{-1121, "Invalid symbol."}
	errInvalidInterval = &apiError{-1120, "Invalid interval."}
	errCombination     = &apiError{-1128, "Combination of optional parameters invalid."}
)

// Binance's patterns, as its messages quote them.
var (
	symbolPattern  = regexp.MustCompile(`^[A-Z0-9-_.]{1,20}$`)
	symbolsPattern = regexp.MustCompile(`^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}")*\]$`)
	numberPattern  = regexp.MustCompile(`^[0-9]{1,20}$`)
)

// parseParameters reads a query that may have the named parameters only, each
// once.
func parseParameters(r *http.Request, known []string) (url.Values, *apiError) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, apiErrorf(-1100, "Illegal characters found in a parameter.")
	}
	read := 0
	for name, sent := range values {
		if len(sent) > 1 {
			return nil, apiErrorf(-1101, "Duplicate values for a parameter detected.")
		}
		if slices.Contains(known, name) {
			read++
		}
	}
	if read < len(values) {
		return nil, apiErrorf(-1104, "Not all sent parameters were read; read '%d' parameter(s) but was sent '%d'.", read, len(values))
	}
	return values, nil
}

func mandatory(values url.Values, name string) (string, *apiError) {
	if value := values.Get(name); value != "" {
		return value, nil
	}
	return "", apiErrorf(-1102, "Mandatory parameter '%s' was not sent, was empty/null, or malformed.", name)
}

func illegal(name string, pattern *regexp.Regexp) *apiError {
	return apiErrorf(-1100, "Illegal characters found in parameter '%s'; legal range is '%s'.", name, pattern)
}

// symbol reads the mandatory symbol of a pair that is traded.
func (s *Server) symbol(values url.Values) (Pair, *apiError) {
	name, failure := mandatory(values, "symbol")
	switch {
	case failure != nil:
		return Pair{}, failure
	case !symbolPattern.MatchString(name):
		return Pair{}, illegal("symbol", symbolPattern)
	}
	pair, traded := s.bySymbol[market.Symbol(name)]
	if !traded {
		return Pair{}, errInvalidSymbol
	}
	return pair, nil
}

// selection reads which pairs are asked for: one by symbol, several by symbols,
// all where neither is given.
func (s *Server) selection(values url.Values) ([]Pair, *apiError) {
	switch {
	case values.Has("symbol") && values.Has("symbols"):
		return nil, errCombination
	case values.Has("symbol"):
		pair, failure := s.symbol(values)
		if failure != nil {
			return nil, failure
		}
		return []Pair{pair}, nil
	case !values.Has("symbols"):
		return s.pairs, nil
	}
	text := values.Get("symbols")
	var names []market.Symbol
	if !symbolsPattern.MatchString(text) || json.Unmarshal([]byte(text), &names) != nil {
		return nil, illegal("symbols", symbolsPattern)
	}
	pairs := make([]Pair, len(names))
	for k, name := range names {
		pair, traded := s.bySymbol[name]
		if !traded {
			return nil, errInvalidSymbol
		}
		pairs[k] = pair
	}
	return pairs, nil
}

// latestTime is the last millisecond of the year 9999, beyond which no time is
// meant.
const latestTime = 253402300799999

// numberParameter reads an optional number of at most most.
func numberParameter(values url.Values, name string, most int64) (market.Optional[int64], *apiError) {
	if !values.Has(name) {
		return market.Optional[int64]{}, nil
	}
	text := values.Get(name)
	if !numberPattern.MatchString(text) {
		return market.Optional[int64]{}, illegal(name, numberPattern)
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value > most {
		return market.Optional[int64]{}, invalidData(name)
	}
	return market.Some(value), nil
}

func invalidData(name string) *apiError {
	return apiErrorf(-1130, "Data sent for parameter '%s' is not valid.", name)
}

// timeParameter reads an optional time in milliseconds since 1970.
func timeParameter(values url.Values, name string) (market.Optional[time.Time], *apiError) {
	milliseconds, failure := numberParameter(values, name, latestTime)
	if failure != nil || !milliseconds.Valid {
		return market.Optional[time.Time]{}, failure
	}
	return market.Some(time.UnixMilli(milliseconds.Value).UTC()), nil
}
