package timescale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// pool marks every failure that may pass as Unavailable, so that those who are
// patient try again, and what a write is refused for as Invalid, so that they do
// not. A connection that is acquired from it, and a transaction begun other than
// by transaction, are not marked.
type pool struct{ *pgxpool.Pool }

// transaction runs f in a transaction, which is committed if f returns nil.
func (p pool) transaction(ctx context.Context, f func(pgx.Tx) error) error {
	return written(ctx, pgx.BeginFunc(ctx, p.Pool, f))
}

func (p pool) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	tag, err := p.Pool.Exec(ctx, sql, arguments...)
	return tag, written(ctx, err)
}

func (p pool) Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	read, err := p.Pool.Query(ctx, sql, arguments...)
	return rows{read, ctx}, passing(ctx, err)
}

func (p pool) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	return row{p.Pool.QueryRow(ctx, sql, arguments...), ctx}
}

func (p pool) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	return batchResults{p.Pool.SendBatch(ctx, batch), ctx}
}

type rows struct {
	pgx.Rows
	ctx context.Context
}

func (r rows) Err() error             { return passing(r.ctx, r.Rows.Err()) }
func (r rows) Scan(into ...any) error { return passing(r.ctx, r.Rows.Scan(into...)) }

type row struct {
	pgx.Row
	ctx context.Context
}

func (r row) Scan(into ...any) error { return passing(r.ctx, r.Row.Scan(into...)) }

// batchResults marks what Close returns: no caller asks for one result.
type batchResults struct {
	pgx.BatchResults
	ctx context.Context
}

func (b batchResults) Close() error { return written(b.ctx, b.BatchResults.Close()) }

// written is passing for what may have written, which a value can make fail that
// the database will not store, today or ever. Where nothing is written, that would
// be the fault of the statement.
func written(ctx context.Context, err error) error {
	err = passing(ctx, err)
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	if ok && market.ErrorCode(err) == market.Internal && refusesValue(refusal.Code) {
		return fmt.Errorf("%w (%w)", market.Errorf(market.Invalid, "the database refuses to store a value"), err)
	}
	return err
}

// passing marks a failure that may pass as Unavailable and leaves any other as
// it is, also one that is the doing of ctx.
func passing(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || market.ErrorCode(err) != market.Internal {
		return err
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		if mayPass(refusal.Code) || connecting && refusal.Code == notInState {
			return fmt.Errorf("%w (%w)", market.Errorf(market.Unavailable, "the database cannot do this now"), err)
		}
		return err
	}
	if connectionLost(err) {
		return unavailable(err)
	}
	return err
}

// notInState is what a database answers that takes no connections at present, and
// what any statement is answered that it has no use for.
const notInState = "55000"

// mayPass tells the SQLSTATEs of what may succeed when it is done again:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func mayPass(sqlState string) bool {
	switch sqlState {
	case "40001", "40P01", // serialization failure, deadlock
		"53300",                   // too many connections
		"57P01", "57P02", "57P03": // shutdown, crash, starting up
		return true
	}
	return strings.HasPrefix(sqlState, "08") // the connection
}

// refusesValue tells the SQLSTATEs of a value that is none of its type and of one
// that breaks a constraint.
func refusesValue(sqlState string) bool {
	return strings.HasPrefix(sqlState, "22") || strings.HasPrefix(sqlState, "23")
}

func connectionLost(err error) bool {
	if _, refused := errors.AsType[*pgconn.ConnectError](err); refused {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
