package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

type health struct {
	Status     string   `json:"status" enum:"ok"`
	Database   string   `json:"database" enum:"reachable"`
	ReplicaLag *float64 `json:"replica_lag_seconds,omitempty" doc:"How old candles, coverage, coins and records are at most, where they are read from a replica of the database."`
}

// pingTimeout is short: whoever asks for health wants to know now.
const pingTimeout = 2 * time.Second

func registerHealth(api huma.API, database Pinger, replica Replica) {
	register(api, huma.Operation{
		OperationID: "get-health", Method: http.MethodGet, Path: "/healthcheck", Tags: []string{"service"}, Security: open,
		Summary:     "Check health",
		Description: "200 when the service runs and its database answers, 503 when the database, or the replica that history is read from, does not.",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body health }, error) {
		pingContext, cancel := context.WithTimeout(ctx, pingTimeout)
		defer cancel()
		if err := database.Ping(pingContext); err != nil {
			return nil, fmt.Errorf("%w (%w)", market.Errorf(market.Unavailable, "the database does not answer"), err)
		}
		answer := health{Status: "ok", Database: "reachable"}
		if replica != nil {
			lag, err := replica.Lag(pingContext)
			if err != nil {
				return nil, fmt.Errorf("%w (%w)", market.Errorf(market.Unavailable, "the replica that history is read from does not answer"), err)
			}
			seconds := lag.Seconds()
			answer.ReplicaLag = &seconds
		}
		return &struct{ Body health }{answer}, nil
	})
}
