package timescale

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
)

// executor is a connection, a pool of them or a transaction.
type executor interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

const writeAuditSQL = `INSERT INTO audit_log (actor, address, action, subject, outcome, details) VALUES ($1, $2, $3, $4, $5, $6)`

func auditArguments(e accounts.Entry) []any {
	return []any{e.Actor, e.Address, e.Action, e.Subject, e.Outcome, e.Details}
}

// queueAudit adds an entry to the batch of what it tells.
func queueAudit(batch *pgx.Batch, entry accounts.Entry) {
	batch.Queue(writeAuditSQL, auditArguments(entry)...)
}

// writeAudit stores an entry in the transaction of what it tells.
func writeAudit(ctx context.Context, e executor, entry accounts.Entry) error {
	_, err := e.Exec(ctx, writeAuditSQL, auditArguments(entry)...)
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// WriteAudit implements accounts.AuditLog.
func (d *Database) WriteAudit(ctx context.Context, entry accounts.Entry) error {
	return writeAudit(ctx, d.pool, entry)
}

// Audit implements accounts.AuditLog.
func (d *Database) Audit(ctx context.Context, before int64, limit int) ([]accounts.Entry, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, _ := d.pool.Query(ctx, `
		SELECT entry_id, at, actor, address, action, subject, outcome, details FROM audit_log
		WHERE entry_id < $1 ORDER BY entry_id DESC LIMIT $2`, before, limit)
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e accounts.Entry, err error) {
		return e, row.Scan(&e.ID, &e.At, &e.Actor, &e.Address, &e.Action, &e.Subject, &e.Outcome, &e.Details)
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return entries, nil
}

// PruneAudit removes the entries from before an instant and returns how many.
func (d *Database) PruneAudit(ctx context.Context, before time.Time) (int64, error) {
	removed, err := d.pool.Exec(ctx, `DELETE FROM audit_log WHERE at < $1`, before)
	if err != nil {
		return 0, fmt.Errorf("prune the audit log: %w", err)
	}
	return removed.RowsAffected(), nil
}
