package timescale

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// CreateSession implements accounts.SessionStore.
func (d *Database) CreateSession(
	ctx context.Context, hash []byte, s accounts.Session, of accounts.User, most int, entry accounts.Entry,
) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		// The row is locked, so that who changes the password sees the session, and ends it,
		// and that sessions are counted one login at a time.
		created, err := tx.Exec(ctx, `
			INSERT INTO sessions (token_hash, session_id, username, address, created_at, used_at, expires_at)
			SELECT $1, $2, username, $4, $5, $6, $7 FROM users WHERE username = $3 AND password_changed_at = $8 FOR NO KEY UPDATE`,
			hash, s.ID, of.Username, s.Address, s.CreatedAt, s.UsedAt, s.ExpiresAt, of.PasswordChangedAt)
		if err != nil {
			return err
		}
		if created.RowsAffected() == 0 {
			return errNoUser
		}
		ended, err := tx.Exec(ctx, `
			DELETE FROM sessions WHERE token_hash IN (
				SELECT token_hash FROM sessions WHERE username = $1
				ORDER BY token_hash = $2 DESC, created_at DESC, session_id OFFSET $3)`, of.Username, hash, most)
		if err != nil {
			return err
		}
		if count := ended.RowsAffected(); count > 0 {
			entry.Details = map[string]string{"older_sessions_ended": strconv.FormatInt(count, 10)}
		}
		return writeAudit(ctx, tx, entry)
	})
	if err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	return nil
}

// UseSession implements accounts.SessionStore.
func (d *Database) UseSession(ctx context.Context, hash []byte, now, idleSince time.Time) (accounts.User, error) {
	var u accounts.User
	var used time.Time
	err := d.pool.QueryRow(ctx, `
		SELECT `+userColumnsOf("u")+`, s.used_at FROM sessions AS s JOIN users AS u USING (username)
		WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.used_at > $3`, hash, now, idleSince).
		Scan(append(userFields(&u), &used)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return accounts.User{}, errNoSession
	}
	if err == nil && now.Sub(used) > time.Minute {
		_, err = d.pool.Exec(ctx, `UPDATE sessions SET used_at = greatest(used_at, $2) WHERE token_hash = $1`, hash, now)
	}
	if err != nil {
		return accounts.User{}, fmt.Errorf("use a session: %w", err)
	}
	return u, nil
}

// DeleteSession implements accounts.SessionStore.
func (d *Database) DeleteSession(ctx context.Context, hash []byte, entry accounts.Entry) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		ended, err := tx.Exec(ctx, `DELETE FROM sessions WHERE token_hash = $1`, hash)
		if err != nil || ended.RowsAffected() == 0 {
			return err
		}
		return writeAudit(ctx, tx, entry)
	})
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// DeleteSessionOf implements accounts.SessionStore.
func (d *Database) DeleteSessionOf(ctx context.Context, username, id string, entry accounts.Entry) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		ended, err := tx.Exec(ctx, `DELETE FROM sessions WHERE username = $1 AND session_id = $2`, username, id)
		if err != nil {
			return err
		}
		if ended.RowsAffected() == 0 {
			return errNoSession
		}
		return writeAudit(ctx, tx, entry)
	})
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

var errNoSession = market.Errorf(market.NotFound, "there is no such session")

// Sessions implements accounts.SessionStore.
func (d *Database) Sessions(ctx context.Context, username string, now, idleSince time.Time) ([]accounts.Session, error) {
	rows, _ := d.pool.Query(ctx, `
		SELECT session_id, username, address, created_at, used_at, expires_at FROM sessions
		WHERE username = $1 AND expires_at > $2 AND used_at > $3 ORDER BY created_at DESC, session_id`, username, now, idleSince)
	sessions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s accounts.Session, err error) {
		return s, row.Scan(&s.ID, &s.Username, &s.Address, &s.CreatedAt, &s.UsedAt, &s.ExpiresAt)
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return sessions, nil
}

// DeleteSessions implements accounts.SessionStore.
func (d *Database) DeleteSessions(ctx context.Context, now, idleSince time.Time) (int64, error) {
	ended, err := d.pool.Exec(ctx, `DELETE FROM sessions WHERE expires_at <= $1 OR used_at <= $2`, now, idleSince)
	if err != nil {
		return 0, fmt.Errorf("remove sessions that are over: %w", err)
	}
	return ended.RowsAffected(), nil
}
