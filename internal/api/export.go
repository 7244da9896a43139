package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// exportPage is how many candles are read at a time, which bounds the memory that an
	// export takes. No connection to the database is held between two pages, however
	// slow the client is.
	exportPage = 5000
	// exportSlots is how many exports are written at once.
	exportSlots = 4
	// exportPiece is what a client is given patience to take.
	exportPiece = 64 << 10
	patience    = 30 * time.Second
)

type exportInput struct {
	Symbol   symbolName   `path:"symbol"`
	Interval intervalName `query:"interval" default:"15m"`
	Start    instant      `query:"start" doc:"Earliest open time, included: RFC 3339 or epoch milliseconds. Without it, from the oldest candle on."`
	End      instant      `query:"end" doc:"Latest open time, not included: RFC 3339 or epoch milliseconds. Without it, up to the newest candle."`
	Format   string       `query:"format" enum:"csv,ndjson,parquet" doc:"The file's format; takes precedence over the Accept header. Without either, csv."`
	Accept   string       `header:"Accept" hidden:"true"`
}

// exports writes candles of a range of any length.
type exports struct {
	history  History
	stopping <-chan struct{}
	slots    chan struct{} // holds an element for each export that is being written
}

func registerExport(api huma.API, e exports) {
	e.slots = make(chan struct{}, exportSlots)
	file := func(f exportFormat) *huma.MediaType { return &huma.MediaType{Example: f.example} }
	register(api, huma.Operation{
		OperationID: "export-candles", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/candles/export", Tags: []string{"market"}, Security: open,
		Summary: "Export candles",
		Description: "All candles of a range as a file, however long it is, with the fields of list-candles under their names: as CSV (RFC 4180) with a header row and an empty field for null, as one JSON object a line (NDJSON), or as Apache Parquet, compressed with Zstandard, with times in microseconds, UTC. " +
			"It is read page by page while it is sent: what is corrected or found meanwhile may be in it or not. " +
			"A file that cannot be completed is cut off, so that no client takes it for whole; one whose reader does not take 64 KiB within 30 seconds is, too.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The file.",
			Headers: map[string]*huma.Param{"Content-Disposition": {
				Schema: &huma.Schema{Type: huma.TypeString}, Description: "The file's name, which holds the series and the range.",
			}},
			Content: map[string]*huma.MediaType{csvType: file(exportFormats["csv"]), ndjsonType: file(exportFormats["ndjson"]), parquetType: {}},
		}},
		Errors: []int{http.StatusNotFound},
	}, e.begin)
}

// begin checks what is asked for and reads the first page, so that what is wrong with
// either is told by a problem.
func (e exports) begin(ctx context.Context, input *exportInput) (*huma.StreamResponse, error) {
	series, err := seriesOf(input.Symbol, input.Interval)
	if err != nil {
		return nil, err
	}
	r, err := e.rangeOf(ctx, input, series)
	if err != nil {
		return nil, err
	}
	select {
	case e.slots <- struct{}{}:
	default:
		return nil, market.Errorf(market.Unavailable, "%d exports are being written, and there cannot be more: try again later", exportSlots)
	}
	began := false
	defer func() {
		if !began {
			<-e.slots
		}
	}()
	first, more, err := candlesForward(ctx, e.history, series, r, exportPage)
	if err != nil {
		return nil, fmt.Errorf("reading candles of %s: %w", series, err)
	}
	began = true
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer func() { <-e.slots }()
		request, w := humago.Unwrap(ctx)
		format := formatOf(input)
		header := w.Header()
		header.Set("Content-Type", format.contentType)
		header.Set("Content-Disposition", `attachment; filename="`+fileName(series, r, format)+`"`)
		header.Add("Vary", "Accept")
		if request.Method == http.MethodHead {
			return
		}
		if err := e.write(request.Context(), w, format, series, r, first, more); err != nil {
			problemOf(request.Context(), fmt.Errorf("exporting candles of %s: %w", series, err)) // for the log
			panic(http.ErrAbortHandler)                                                          // the client must see that the file has no end
		}
	}}, nil
}

// rangeOf returns the range of open times that is asked for and stored.
func (e exports) rangeOf(ctx context.Context, input *exportInput, series market.Series) (market.TimeRange, error) {
	r, err := openTimesOf(ctx, e.history, series)
	if err != nil {
		return r, err
	}
	asked := market.TimeRange{Start: time.Time(input.Start), End: time.Time(input.End)}
	if !asked.Start.IsZero() && !asked.End.IsZero() && asked.End.Before(asked.Start) {
		return r, invalid(ctx, "query.end", "expected an instant that is not before start")
	}
	if asked.Start.IsZero() {
		asked.Start = r.Start
	}
	if asked.End.IsZero() {
		asked.End = r.End
	}
	if r = intersection(r, asked); r.End.Before(r.Start) {
		r.End = r.Start
	}
	return r, nil
}

func formatOf(input *exportInput) exportFormat {
	name := input.Format
	if name == "" {
		name = map[string]string{ndjsonType: "ndjson", parquetType: "parquet"}[preferredType(input.Accept, csvType, ndjsonType, parquetType)]
	}
	if format, known := exportFormats[name]; known {
		return format
	}
	return exportFormats["csv"]
}

// fileName holds nothing that a header would have to quote.
func fileName(series market.Series, r market.TimeRange, format exportFormat) string {
	const layout = "20060102T150405Z"
	return fmt.Sprintf("%s_%s_%s_%s.%s", series.Symbol, series.Interval, r.Start.UTC().Format(layout), r.End.UTC().Format(layout), format.extension)
}

var errStopping = errors.New("the service stops")

// write writes a page after another until none is left.
func (e exports) write(
	ctx context.Context, w http.ResponseWriter, format exportFormat, series market.Series, r market.TimeRange,
	page []market.Candle, more bool,
) error {
	out := patientWriter{w, http.NewResponseController(w)}
	// The server bounds the time of a request; what this one takes is up to the range.
	if err := out.controller.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	encoder, err := format.open(out, series)
	if err != nil {
		return err
	}
	for {
		if err := encoder.write(page); err != nil {
			return err
		}
		if !more {
			return encoder.close()
		}
		select {
		case <-e.stopping:
			return errStopping
		default:
		}
		r.Start = behind(candleKey{microsecondsOf(page[len(page)-1].OpenTime)})
		if page, more, err = e.read(ctx, series, r); err != nil {
			return err
		}
	}
}

// read reads a page, in the time that any operation has.
func (e exports) read(ctx context.Context, series market.Series, r market.TimeRange) ([]market.Candle, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	return candlesForward(ctx, e.history, series, r, exportPage)
}

// patientWriter gives the client some time for each piece.
type patientWriter struct {
	io.Writer
	controller *http.ResponseController
}

// Write writes all of b, piece by piece.
func (w patientWriter) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		if err = w.controller.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return written, err
		}
		var n int
		n, err = w.Writer.Write(b[:min(len(b), exportPiece)])
		written, b = written+n, b[n:]
	}
	return written, err
}
