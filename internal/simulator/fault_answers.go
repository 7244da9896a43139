package simulator

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// answer is what a request is answered with where no fault gets at it. Its body
// is JSON and may be shared.
type answer struct {
	status int
	body   []byte
}

func writeAnswer(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	w.Write(a.body) // a client that has gone needs no answer
}

// trickles is into how many pieces slow_body divides a body.
const trickles = 20

// deliver writes an answer, or what a fault makes of it; those of a page have
// been played by now. It calls forbid for a fault that closes the door, with the
// status and for how long.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, fault *faultPlay, a answer, forbid func(int, time.Duration)) {
	if fault == nil || fault.altersPage() {
		writeAnswer(w, a)
		return
	}
	s.played(fault)
	switch fault.Fault {
	case TooManyRequests:
		forbid(http.StatusTooManyRequests, fault.Wait)
	case Banned:
		forbid(http.StatusTeapot, fault.Wait)
	case Blocked:
		writeAnswer(w, answer{http.StatusUnavailableForLegalReasons, apiErrorf(0,
			"Service unavailable from a restricted location according to 'b. Eligibility' of the terms of use.").body()})
	case ServerError:
		writeAnswer(w, answer{fault.Status, apiErrorf(-1000, "An unknown error occurred while processing the request.").body()})
	case HTMLPage:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(fault.Status)
		text := http.StatusText(fault.Status)
		fmt.Fprintf(w, "<html>\r\n<head><title>%d %s</title></head>\r\n<body><h1>%d %s</h1></body>\r\n</html>\r\n",
			fault.Status, text, fault.Status, text)
	case SlowHeaders:
		if s.wait(r, fault.Wait) {
			writeAnswer(w, a)
		}
	case SlowBody:
		s.trickle(w, r, a, fault.Wait)
	case CutBody:
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		cut(w, a)
	case CutChunkedBody:
		cut(w, a)
	case ConnectionReset:
		reset(w)
	case WrongJSON:
		writeAnswer(w, answer{a.status, a.body[:len(a.body)/2]})
	}
}

// wait reports false where the client or the server went first.
func (s *Server) wait(r *http.Request, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-s.closing.Done():
	}
	return false
}

func (s *Server) trickle(w http.ResponseWriter, r *http.Request, a answer, length time.Duration) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	for k := range trickles {
		w.Write(a.body[k*len(a.body)/trickles : (k+1)*len(a.body)/trickles])
		flush(w)
		if !s.wait(r, length/trickles) {
			panic(http.ErrAbortHandler)
		}
	}
}

// cut writes half of an answer and breaks off.
func cut(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(a.status)
	w.Write(a.body[:len(a.body)/2])
	flush(w)
	panic(http.ErrAbortHandler)
}

func flush(w http.ResponseWriter) {
	// Without it an answer would still be whole where the writer cannot flush.
	if err := http.NewResponseController(w).Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// reset closes the connection so that the client sees it reset, not ended.
func reset(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	connection.Close()
}
