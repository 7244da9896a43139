package api

import (
	"net/netip"
	"sync"
)

// streamClients counts the streams of each client, so that one of them cannot
// take the places of all. It is safe for concurrent use.
type streamClients struct {
	mutex sync.Mutex
	open  map[string]int // by client, none of them 0
}

// enter counts a stream, or returns false where the client has as many as it
// may have.
func (c *streamClients) enter(client string) bool {
	if client == manyClients {
		return true
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open[client] >= mostStreamsOfClient {
		return false
	}
	if c.open == nil {
		c.open = map[string]int{}
	}
	c.open[client]++
	return true
}

// leave ends what enter returned true for.
func (c *streamClients) leave(client string) {
	if client == manyClients {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.open[client]--
	if c.open[client] == 0 {
		delete(c.open, client)
	}
}

// manyClients stands for those who cannot be told apart.
const manyClients = ""

// clientOf returns whose connection it is by its remote address: the host, or of
// IPv6 the network of 64 bits, all of which one client has. What comes from this
// machine, over a Unix socket too, comes from a proxy, which speaks for many
// clients, or from somebody who is trusted.
func clientOf(remote string) string {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return manyClients
	}
	host := address.Addr().Unmap().WithZone("")
	switch {
	case host.IsLoopback():
		return manyClients
	case host.Is4():
		return host.String()
	default:
		return netip.PrefixFrom(host, 64).Masked().String()
	}
}
