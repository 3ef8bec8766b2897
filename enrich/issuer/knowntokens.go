package issuer

import "sync"

// maxGoodTokens bounds the remembered tokens of one generation, of which there
// are two: some 4 MiB in all, in use only where as many tokens are.
const maxKnownTokens = 1 << 15

// goodTokens remembers opaque tokens that passed every check, by their keyed
// hash, for longer than the answers about them serve: in a flood of forged ones
// they are the honest. Nobody can make it grow without good tokens.
//
// It holds two generations. Once the younger is full, the elder is dropped
// whole, so that no order has to be kept.
type knownTokens struct {
	max int // of one generation

	mu                sync.Mutex
	current, previous map[tokenHash]struct{}
}

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
