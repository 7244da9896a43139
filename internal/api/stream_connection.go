package api

import (
	"context"
	"net"
)

// sendBuffer is how many bytes of a stream the system may hold that its reader's
// system has not taken; Linux doubles it for its own bookkeeping. By default it
// holds megabytes, minutes of a market: a slow reader would get all the old
// prices in it before the newest one, and never be found slow.
const sendBuffer = 16 << 10

type connectionKey struct{}

// ConnContext is for the http.Server that serves the API: it lets a stream reach
// its connection, to have the system hold little of what is not sent. Without it
// a slow reader of a stream lags behind.
func ConnContext(ctx context.Context, connection net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, connection)
}

// keepLittleUnsent bounds what the system holds of a stream that is not sent.
func keepLittleUnsent(ctx context.Context) {
	connection, ok := ctx.Value(connectionKey{}).(interface{ SetWriteBuffer(bytes int) error })
	if !ok {
		return
	}
	if err := connection.SetWriteBuffer(sendBuffer); err != nil {
		logger(ctx).Warn("stream with a large send buffer: a slow reader will lag behind", "error", err)
	}
}
