package issuer

import "sync"

// maxGoodTokens bounds the remembered tokens of one generation, of which there
// are two: some 4 MiB in all, in use only where as many tokens are.
const maxGoodTokens = 1 << 15

// goodTokens remembers opaque tokens that passed every check, by their keyed
// hash, for longer than the answers about them serve: in a flood of forged ones
// they are the honest. Nobody can make it grow without good tokens.
//
// It holds two generations. Once the younger is full, the elder is dropped
// whole, so that no order has to be kept.
type goodTokens struct {
	max int // of one generation

	mu           sync.Mutex
	young, elder map[tokenHash]struct{}
}

func newGoodTokens(max int) goodTokens {
	return goodTokens{max: max, young: make(map[tokenHash]struct{})}
}

func (k *goodTokens) has(key tokenHash) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, young := k.young[key]
	_, elder := k.elder[key]
	return young || elder
}

func (k *goodTokens) add(key tokenHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.young[key]; ok {
		return
	}
	if len(k.young) >= k.max {
		k.elder, k.young = k.young, make(map[tokenHash]struct{})
	}
	k.young[key] = struct{}{}
}

func (k *goodTokens) remove(key tokenHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.young, key)
	delete(k.elder, key)
}
