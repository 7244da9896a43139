package timescale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

const tokenColumns = "token_id, username, name, role, created_at, expires_at, used_at"

func tokenFields(t *accounts.Token) []any {
	return []any{&t.ID, &t.Username, &t.Name, &t.Role, &t.CreatedAt, &t.ExpiresAt, nullable[time.Time]{&t.UsedAt}}
}

// userColumnsOf are the columns of a user, of a relation that has that name in a query.
func userColumnsOf(relation string) string { return qualified(relation, userColumns) }

func qualified(relation, columns string) string {
	return relation + "." + strings.ReplaceAll(columns, ", ", ", "+relation+".")
}

// CreateToken implements accounts.TokenStore.
func (d *Database) CreateToken(ctx context.Context, hash []byte, t accounts.Token, passwordOf int64, most int, entry accounts.Entry) (accounts.Token, error) {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		// The user's row is locked, so that the tokens are counted one request at a time.
		var given time.Time
		err := tx.QueryRow(ctx, `SELECT password_changed_at FROM users WHERE username = $1 FOR UPDATE`, t.Username).Scan(&given)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNoUser
		}
		if err != nil {
			return err
		}
		if passwordOf != 0 && given.UnixMicro() != passwordOf {
			return market.Errorf(market.Unauthorized, "the password was changed meanwhile: log in again")
		}
		var have int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM tokens WHERE username = $1`, t.Username).Scan(&have); err != nil {
			return err
		}
		if have >= most {
			return market.Errorf(market.Conflict, "there are %d tokens already: revoke one first", have)
		}
		err = tx.QueryRow(ctx, `
			INSERT INTO tokens (token_hash, username, name, role, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (username, name) DO NOTHING RETURNING token_id`,
			hash, t.Username, t.Name, t.Role, t.CreatedAt, t.ExpiresAt).Scan(&t.ID)
		if errors.Is(err, pgx.ErrNoRows) {
			return market.Errorf(market.Conflict, "there is a token of this name already")
		}
		if err != nil {
			return err
		}
		return writeAudit(ctx, tx, entry)
	})
	if err != nil {
		return accounts.Token{}, fmt.Errorf("create a token: %w", err)
	}
	return t, nil
}

// UseToken implements accounts.TokenStore.
func (d *Database) UseToken(ctx context.Context, hash []byte, now time.Time) (accounts.Token, accounts.User, error) {
	var t accounts.Token
	var u accounts.User
	err := d.pool.QueryRow(ctx, `
		SELECT `+qualified("t", tokenColumns)+`, `+userColumnsOf("u")+` FROM tokens AS t JOIN users AS u USING (username)
		WHERE t.token_hash = $1 AND t.expires_at > $2`, hash, now).Scan(append(tokenFields(&t), userFields(&u)...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return accounts.Token{}, accounts.User{}, market.Errorf(market.NotFound, "there is no such token")
	}
	if err == nil && (!t.UsedAt.Valid || now.Sub(t.UsedAt.Value) > time.Minute) {
		_, err = d.pool.Exec(ctx, `UPDATE tokens SET used_at = $2 WHERE token_id = $1`, t.ID, now)
	}
	if err != nil {
		return accounts.Token{}, accounts.User{}, fmt.Errorf("use a token: %w", err)
	}
	return t, u, nil
}

// Tokens implements accounts.TokenStore.
func (d *Database) Tokens(ctx context.Context, username string) ([]accounts.Token, error) {
	rows, _ := d.pool.Query(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE username = $1 ORDER BY token_id DESC`, username)
	tokens, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t accounts.Token, err error) {
		return t, row.Scan(tokenFields(&t)...)
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return tokens, nil
}

// DeleteToken implements accounts.TokenStore.
func (d *Database) DeleteToken(ctx context.Context, username string, id int64, entry func(accounts.Token) accounts.Entry) error {
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		var t accounts.Token
		err := tx.QueryRow(ctx, `DELETE FROM tokens WHERE ($1 = '' OR username = $1) AND token_id = $2 RETURNING `+tokenColumns,
			username, id).Scan(tokenFields(&t)...)
		if errors.Is(err, pgx.ErrNoRows) {
			return market.Errorf(market.NotFound, "there is no such token")
		}
		if err != nil {
			return err
		}
		return writeAudit(ctx, tx, entry(t))
	})
	if err != nil {
		return fmt.Errorf("revoke a token: %w", err)
	}
	return nil
}

// DeleteTokens implements accounts.TokenStore.
func (d *Database) DeleteTokens(ctx context.Context, now time.Time) (int64, error) {
	ended, err := d.pool.Exec(ctx, `DELETE FROM tokens WHERE expires_at <= $1`, now)
	if err != nil {
		return 0, fmt.Errorf("remove tokens that have expired: %w", err)
	}
	return ended.RowsAffected(), nil
}
