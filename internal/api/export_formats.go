package api

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// exportFormat is a kind of file.
type exportFormat struct {
	contentType string
	extension   string
	example     any // of a file, for the document
	// open returns an encoder that writes to w.
	open func(w io.Writer, series market.Series) (exportEncoder, error)
}

// exportEncoder writes candles to a file. What it has not written yet does not grow with
// the file.
type exportEncoder interface {
	write(candles []market.Candle) error
	// close writes what makes the file whole.
	close() error
}

var exportFormats = map[string]exportFormat{
	"csv":     {csvContentType, "csv", csvHeader + "\r\n", openCSV},
	"ndjson":  {ndjsonType, "ndjson", ndjsonExample, openLines},
	"parquet": {parquetType, "parquet", nil, openParquet},
}

const parquetType = "application/vnd.apache.parquet"

// textEncoder writes text of each candle.
type textEncoder struct {
	to       io.Writer
	interval market.Interval
	encode   func(b []byte, interval market.Interval, candles []market.Candle) []byte
	buffer   []byte
}

func openCSV(w io.Writer, series market.Series) (exportEncoder, error) {
	_, err := io.WriteString(w, csvHeader+"\r\n")
	return &textEncoder{to: w, interval: series.Interval, encode: appendRows}, err
}

func openLines(w io.Writer, series market.Series) (exportEncoder, error) {
	return &textEncoder{to: w, interval: series.Interval, encode: appendLines}, nil
}

func (e *textEncoder) write(candles []market.Candle) error {
	e.buffer = e.encode(e.buffer[:0], e.interval, candles)
	_, err := e.to.Write(e.buffer)
	return err
}

func (e *textEncoder) close() error { return nil }

// parquetRowGroup is how many candles stand together: a reader that wants some of them
// reads some groups, and the writer holds one: ten times as many take 80 MB more.
const parquetRowGroup = 5_000

// parquetCandle has the columns of a Parquet file; those of pointers may be null.
type parquetCandle struct {
	OpenTime            int64    `parquet:"open_time,delta,timestamp(microsecond)"`
	CloseTime           int64    `parquet:"close_time,delta,timestamp(microsecond)"`
	Open                float64  `parquet:"open"`
	High                float64  `parquet:"high"`
	Low                 float64  `parquet:"low"`
	Close               float64  `parquet:"close"`
	Volume              float64  `parquet:"volume"`
	QuoteVolume         *float64 `parquet:"quote_volume,optional"`
	Trades              *int64   `parquet:"trades,optional"`
	TakerBuyVolume      *float64 `parquet:"taker_buy_volume,optional"`
	TakerBuyQuoteVolume *float64 `parquet:"taker_buy_quote_volume,optional"`
	SourceInterval      string   `parquet:"source_interval,dict"`
	Parts               int32    `parquet:"parts"`
	Complete            bool     `parquet:"complete"`
}

// parquetEncoder writes a Parquet file, whose footer holds the symbol and the interval.
type parquetEncoder struct {
	interval market.Interval
	writer   *parquet.GenericWriter[parquetCandle]
	rows     []parquetCandle
}

func openParquet(w io.Writer, series market.Series) (exportEncoder, error) {
	writer := parquet.NewGenericWriter[parquetCandle](w,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1}), parquet.MaxRowsPerRowGroup(parquetRowGroup),
		parquet.CreatedBy("CryptoBoat", "", ""),
		parquet.KeyValueMetadata("symbol", string(series.Symbol)), parquet.KeyValueMetadata("interval", string(series.Interval)),
	)
	return &parquetEncoder{interval: series.Interval, writer: writer}, nil
}

func (e *parquetEncoder) write(candles []market.Candle) error {
	e.rows = e.rows[:0]
	for i := range candles {
		c := &candles[i]
		e.rows = append(e.rows, parquetCandle{
			OpenTime: c.OpenTime.UnixMicro(), CloseTime: e.interval.Next(c.OpenTime).UnixMicro(),
			Open: c.Open, High: c.High, Low: c.Low, Close: c.Close, Volume: c.Volume,
			QuoteVolume: pointerTo(&c.QuoteVolume), Trades: pointerTo(&c.Trades),
			TakerBuyVolume: pointerTo(&c.TakerBuyVolume), TakerBuyQuoteVolume: pointerTo(&c.TakerBuyQuoteVolume),
			SourceInterval: string(c.Source), Parts: int32(c.Parts), Complete: c.Complete(e.interval),
		})
	}
	if _, err := e.writer.Write(e.rows); err != nil {
		return fmt.Errorf("writing Parquet: %w", err)
	}
	return nil
}

func (e *parquetEncoder) close() error {
	if err := e.writer.Close(); err != nil {
		return fmt.Errorf("ending a Parquet file: %w", err)
	}
	return nil
}

// pointerTo returns where a value stands, nil where it is absent.
func pointerTo[T any](v *market.Optional[T]) *T {
	if !v.Valid {
		return nil
	}
	return &v.Value
}
