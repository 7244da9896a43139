package simulator

import (
	"container/list"
	"sync"
)

// recent keeps the values that were asked for last, up to a limit. It is safe
// for concurrent use; what two callers miss at once is made twice.
type recent[K comparable, V any] struct {
	limit int

	mu    sync.Mutex
	order *list.List // of kept[K, V], the newest use in front
	kept  map[K]*list.Element
}

type kept[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit, order: list.New(), kept: map[K]*list.Element{}}
}

func (r *recent[K, V]) get(key K) (value V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	element, ok := r.kept[key]
	if !ok {
		return value, false
	}
	r.order.MoveToFront(element)
	return element.Value.(kept[K, V]).value, true
}

func (r *recent[K, V]) put(key K, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.kept[key]; ok {
		return
	}
	r.kept[key] = r.order.PushFront(kept[K, V]{key, value})
	if r.order.Len() > r.limit {
		oldest := r.order.Remove(r.order.Back()).(kept[K, V])
		delete(r.kept, oldest.key)
	}
}
