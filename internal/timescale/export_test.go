package timescale

import (
	"context"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pool lets tests look at what no method tells.
func (d *Database) Pool() *pgxpool.Pool { return d.pool.Pool }

// Migrator lets tests undo the last migrations and do them again.
func (d *Database) Migrator(ctx context.Context) (*migrate.Migrate, error) { return d.migrator(ctx) }

// RecentEnough lets tests ask about releases that no server here has.
var RecentEnough = recentEnough

// RollUpRelations are the names of every roll-up.
func RollUpRelations() []string {
	names := make([]string, len(rollUps))
	for k, r := range rollUps {
		names[k] = r.relation
	}
	return names
}

// Passing lets tests ask about failures that are hard to bring about.
var Passing = passing

// ReadableRelations are what readers may read.
func ReadableRelations() []string { return readableRelations() }

// PrivateRelations are what no reader may read.
func PrivateRelations() []string { return private }

// ScramVerifierOf lets tests compare with what the server makes of a password.
var ScramVerifierOf = scramVerifierOf
