package issuer

import "sync"

// maxKnownTokens bounds the remembered tokens of one generation, of which there are
// two: some 4 MiB together, taken only when so many tokens are in use.
const maxKnownTokens = 1 << 15

// knownTokens remembers opaque tokens that passed all checks, by their keyed hash,
// for longer than the answers about them are valid. In a flood of forged tokens the
// known ones keep their share of the introspections. Only valid tokens are added,
// so that a stranger cannot fill it.
//
// It holds two generations. Once the current one is full, the previous one is
// dropped as a whole, so that no order has to be kept.
type knownTokens struct {
	max int // of one generation

	mu                sync.Mutex
	current, previous map[tokenHash]struct{}
}

// newKnownTokens returns a memory of generations of at most max tokens.
func newKnownTokens(max int) knownTokens {
	return knownTokens{max: max, current: make(map[tokenHash]struct{})}
}

func (k *knownTokens) has(key tokenHash) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, young := k.current[key]
	_, elder := k.previous[key]
	return young || elder
}

func (k *knownTokens) add(key tokenHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.current[key]; ok {
		return
	}
	if len(k.current) >= k.max {
		k.previous, k.current = k.current, make(map[tokenHash]struct{})
	}
	k.current[key] = struct{}{}
}

func (k *knownTokens) remove(key tokenHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.current, key)
	delete(k.previous, key)
}
