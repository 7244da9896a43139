package simulator

import (
	"container/list"
	"sync"
	"time"
)

// cacheBytes bounds the encoded pages that are kept. A backfill walks all pages
// of its series once: a cache that is smaller than the walk has always just
// forgotten the page that comes next. Both pairs' 15m candles since 2017 are some
// 650 pages of 150 kB, or 100 MB.
const cacheBytes = 128 << 20

// klineCache keeps the pages that were asked for last, of those that can never
// change. Its zero value is empty and ready.
type klineCache struct {
	mu    sync.Mutex
	pages map[klineQuery]*list.Element
	used  list.List // of *cachedPage, the last one used in front
	bytes int
}

type cachedPage struct {
	query   klineQuery
	body    []byte
	settled time.Time // when the last of its candles closed, at the latest
}

// get returns the page of a query, provided that every candle in it has closed
// where the open candle opened at open.
func (c *klineCache) get(query klineQuery, open time.Time) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, found := c.pages[query]
	if !found {
		return nil, false
	}
	page := element.Value.(*cachedPage)
	if open.Before(page.settled) {
		return nil, false // the clock has been set back
	}
	c.used.MoveToFront(element)
	return page.body, true
}

func (c *klineCache) put(query klineQuery, body []byte, settled time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		c.pages = map[klineQuery]*list.Element{}
	}
	if _, found := c.pages[query]; found {
		return
	}
	c.pages[query] = c.used.PushFront(&cachedPage{query: query, body: body, settled: settled})
	for c.bytes += len(body); c.bytes > cacheBytes; {
		oldest := c.used.Remove(c.used.Back()).(*cachedPage)
		delete(c.pages, oldest.query)
		c.bytes -= len(oldest.body)
	}
}
