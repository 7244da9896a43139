package simulator

import (
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	defaultKlines = 500
	mostKlines    = 1000 // more may be asked for, and as many are answered
)

// klineQuery is a request for candles.
type klineQuery struct {
	series market.Series
	// opens is where the candles open: from the zero time where no start was
	// asked for, in which case the newest are meant.
	opens market.TimeRange
	limit int
}

func (q klineQuery) hasStart() bool { return !q.opens.Start.IsZero() }

func (s *Server) parseKlineQuery(c call) (klineQuery, *apiError) {
	pair, failure := s.symbol(c.values)
	if failure != nil {
		return klineQuery{}, failure
	}
	name, failure := mandatory(c.values, "interval")
	if failure != nil {
		return klineQuery{}, failure
	}
	interval, err := market.ParseInterval(name)
	if err != nil {
		return klineQuery{}, errInvalidInterval
	}
	// Other zones would move the grid, which no client of ours asks for.
	if c.values.Has("timeZone") && c.values.Get("timeZone") != "0" {
		return klineQuery{}, invalidData("timeZone")
	}
	start, failure := timeParameter(c.values, "startTime")
	if failure != nil {
		return klineQuery{}, failure
	}
	end, failure := timeParameter(c.values, "endTime")
	if failure != nil {
		return klineQuery{}, failure
	}
	limit, failure := numberParameter(c.values, "limit", latestTime)
	switch {
	case failure != nil:
		return klineQuery{}, failure
	case !limit.Valid:
		limit.Value = defaultKlines
	case limit.Value == 0:
		return klineQuery{}, invalidData("limit")
	}
	query := klineQuery{
		series: market.Series{Symbol: pair.Symbol, Interval: interval},
		limit:  int(min(limit.Value, mostKlines)),
	}
	// The end is the last instant at which a candle may open. Where none was given,
	// the clock sets it.
	query.opens.End = time.UnixMilli(latestTime).UTC()
	if end.Valid {
		query.opens.End = end.Value.Add(time.Millisecond)
	}
	if start.Valid {
		query.opens.Start = start.Value
		// Nothing is older, and the same page is then asked for by the same range.
		if first := interval.Floor(pair.Listed); start.Value.Before(first) {
			query.opens.Start = first
		}
	}
	return query, nil
}

func (s *Server) klines(c call) ([]byte, *apiError) {
	query, failure := s.parseKlineQuery(c)
	if failure != nil {
		if c.fault.altersPage() {
			s.faults.postpone(c.fault)
		}
		return nil, failure
	}
	if c.fault.altersPage() {
		candles := s.page(query, c.now)
		closed := len(candles)
		if closed > 0 && query.series.Interval.Next(query.series.Interval.Floor(candles[closed-1].OpenTime)).After(c.now) {
			closed--
		}
		if body, altered := alterPage(c.fault.Fault, query, candles, closed); altered {
			s.played(c.fault)
			return body, nil
		}
		s.faults.postpone(c.fault)
		return encodePage(query.series.Interval, candles), nil
	}
	open := query.series.Interval.Floor(c.now)
	if body, found := s.cache.get(query, open); found {
		return body, nil
	}
	candles := s.page(query, c.now)
	body := encodePage(query.series.Interval, candles)
	if query.hasStart() {
		// From when on the page is for good.
		settled := query.opens.End
		if len(candles) == query.limit {
			interval := query.series.Interval
			settled = interval.Next(interval.Floor(candles[len(candles)-1].OpenTime))
		}
		if !open.Before(settled) {
			s.cache.put(query, body, settled)
		}
	}
	return body, nil
}

// page returns the candles of a query, oldest first, the open one included.
func (s *Server) page(query klineQuery, now time.Time) []market.Candle {
	if !query.hasStart() {
		return s.newestCandles(query.series, query.opens, query.limit, now)
	}
	past := query.opens
	if open := query.series.Interval.Floor(now); open.Before(past.End) {
		past.End = open
	}
	var candles []market.Candle
	if !past.Empty() {
		candles = s.source.Candles(query.series, past, query.limit)
	}
	if len(candles) < query.limit {
		if candle, traded := s.source.OpenCandle(query.series, now); traded && query.opens.Contains(candle.OpenTime) {
			candles = append(candles[:len(candles):len(candles)], candle)
		}
	}
	return candles
}

// newestCandles returns the newest candles that open before r.End, at most limit
// of them, oldest first, the open one included.
func (s *Server) newestCandles(series market.Series, r market.TimeRange, limit int, now time.Time) []market.Candle {
	var newest []market.Candle
	if candle, traded := s.source.OpenCandle(series, now); traded && candle.OpenTime.Before(r.End) {
		newest = append(newest, candle)
	}
	wanted := limit - len(newest)
	if wanted == 0 {
		return newest
	}
	end := series.Interval.Floor(now)
	if r.End.Before(end) {
		end = r.End
	}
	first := series.Interval.Floor(s.bySymbol[series.Symbol].Listed)
	// An outage may hide any number of candles: reach further back until there are
	// enough.
	for places := wanted; ; places *= 2 {
		past := market.TimeRange{Start: end.Add(-time.Duration(places) * series.Interval.Length()), End: end}
		if past.Start.Before(first) {
			past.Start = first
		}
		var candles []market.Candle
		if !past.Empty() {
			candles = s.source.Candles(series, past, places+1)
		}
		if len(candles) >= wanted || !past.Start.After(first) {
			candles = candles[max(len(candles)-wanted, 0):]
			return append(candles[:len(candles):len(candles)], newest...)
		}
	}
}

// bytesPerKline is somewhat more than a row takes.
const bytesPerKline = 176

func encodePage(interval market.Interval, candles []market.Candle) []byte {
	body := make([]byte, 0, 2+bytesPerKline*len(candles))
	body = append(body, '[')
	for k := range candles {
		if k > 0 {
			body = append(body, ',')
		}
		body = appendKline(body, interval, &candles[k])
	}
	return append(body, ']')
}
