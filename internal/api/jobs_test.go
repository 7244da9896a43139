package api

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestJobsSayWhenTheyAreDueNext(t *testing.T) {
	s := serveFake(t, newService(3))
	got := decode[jobList](t, s.ask(t, http.MethodGet, "/v1/jobs", "", "Authorization", basic(adminName, adminPassword)), http.StatusOK)
	at := time.Date(2024, time.May, 6, 10, 15, 5, 0, time.UTC)
	for name, want := range map[string][]jobDue{
		"ingest": {{"BTCUSDT", at}, {"ETHUSDT", at}}, "score": {{"", at.Add(time.Minute)}}, "train": {},
	} {
		k := slices.IndexFunc(got.Jobs, func(j job) bool { return j.Name == name })
		if k < 0 || got.Jobs[k].Next == nil || !slices.Equal(got.Jobs[k].Next, want) {
			t.Errorf("%s: %+v, want %v", name, got.Jobs, want)
		}
	}
}

func TestWhoAskedForARun(t *testing.T) {
	s := serveFake(t, newService(3))
	for path, want := range map[string]string{"/v1/runs/3/retry": "admin", "/v1/runs/3/cancel": "admin"} {
		got := decode[jobRun](t, s.post(t, path, ""), http.StatusAccepted)
		if by := got.RetriedBy + got.CancelledBy; by != want {
			t.Errorf("%s was asked for by %q", path, by)
		}
	}
}
