package mint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// This file changes the keys that a cluster shares: on time, or because an
// operator asks for it.

// errLocked says that another node held the lock for the whole wait.
var errLocked = errors.New("the lock on the signing keys is held")

// refresh brings the keys up to date: it takes over what other nodes stored,
// and makes or drops keys where it is time.
func (s *Signer) refresh(ctx context.Context) error {
	if len(s.config.KeyFiles) > 0 {
		r, algorithm, err := loadFiles(s.config, s.log)
		if err == nil && algorithm != s.config.Algorithm {
			err = fmt.Errorf("the key file now holds a key for %s: %w", algorithm, errKey)
		}
		if err != nil {
			return err
		}
		return s.use(r)
	}
	s.change.Lock()
	defer s.change.Unlock()
	r, err := s.read(ctx)
	if err != nil {
		return err
	}
	now := s.clock()
	longest := time.Duration(s.longest.Load()) * time.Second
	short := r.longest < longest
	r.longest = max(r.longest, longest)
	_, due := r.due(s.config, now)
	_, old := r.without(s.config, now)
	if !due && !old && !short {
		return s.use(r)
	}
	if len(r.keys) > 0 {
		// What is there serves at once; the change may have to wait.
		if err := s.use(r); err != nil {
			return err
		}
	}
	return s.update(ctx, due, func(r *ring, made *key, now time.Time) (*ring, bool) {
		short := r.longest < longest
		r.longest = max(r.longest, longest)
		amended, old := r.without(s.config, now)
		changed := old || short
		if from, due := r.due(s.config, now); due && made != nil {
			amended.add(made, now, from)
			changed = true
		}
		return amended, changed
	})
}

// Rotate begins a rotation now: a new key is made and published, and signs
// after rotate_overlap; where one is on its way already, nothing changes. With
// at once true it signs immediately, a key on its way that never signed is
// dropped, and who has cached the key set will refuse tokens until it fetches
// the set again: it is for a key that is no longer secret. The other nodes
// follow at their next look. Keys that have signed stay published until their
// tokens have expired.
func (s *Signer) Rotate(ctx context.Context, atOnce bool) error {
	if len(s.config.KeyFiles) > 0 {
		return ErrFixedKeys
	}
	s.change.Lock()
	defer s.change.Unlock()
	return s.update(ctx, true, func(r *ring, made *key, now time.Time) (*ring, bool) {
		amended, _ := r.without(s.config, now)
		from := now.Add(time.Duration(s.config.RotateOverlap))
		switch {
		case atOnce || len(r.keys) == 0:
			from = now
			kept := amended.keys[:0:0]
			for _, k := range amended.keys {
				if !k.signsFrom.After(now) {
					kept = append(kept, k)
				}
			}
			amended.keys = kept
		case r.next(s.config.Algorithm, now) != nil:
			return r, false
		}
		amended.add(made, now, from)
		return amended, true
	})
}

// add puts a new key into the ring.
func (r *ring) add(k *key, now, signsFrom time.Time) {
	k.created, k.signsFrom = now.UTC(), signsFrom.UTC()
	r.keys = append(r.keys, k)
	r.sort()
}

// update changes the stored keys under the lock. A key that may be needed is
// made before, so that the lock is held for two calls to the storage only;
// and as locks can be lost, what is used afterwards is what the storage then
// holds, not what was to be stored.
func (s *Signer) update(ctx context.Context, needKey bool, how func(r *ring, made *key, now time.Time) (*ring, bool)) (err error) {
	var made *key
	if needKey {
		if made, err = generate(s.config.Algorithm, s.rand); err != nil {
			return err
		}
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer func() {
		if unlockErr := s.unlock(ctx); unlockErr != nil && err == nil {
			err = unlockErr
		}
	}()
	r, err := s.read(ctx)
	if err != nil {
		return err
	}
	amended, changed := how(r, made, s.clock())
	if len(amended.keys) > maxKeys {
		return fmt.Errorf("keeping %d signing keys, over %d: %w", len(amended.keys), maxKeys, errConfig)
	}
	if changed {
		if err := s.write(ctx, amended); err != nil {
			return err
		}
		if r, err = s.read(ctx); err != nil {
			return err
		}
		s.log.Info("signing keys changed", slog.Int("keys", len(r.keys)))
	}
	if len(r.keys) == 0 {
		return fmt.Errorf("reading back signing keys: not found: %w", errStored)
	}
	return s.use(r)
}

// lock takes the lock that all nodes share. Where another one holds it for the
// whole wait, the error is errLocked.
func (s *Signer) lock(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	err := s.storage.Lock(waiting, lockName)
	if err != nil && waiting.Err() != nil {
		return fmt.Errorf("locking signing keys: %w", errLocked)
	}
	if err != nil {
		return fmt.Errorf("locking signing keys: %w", err)
	}
	return nil
}

// unlock releases the lock even when the worker is being stopped.
func (s *Signer) unlock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
	defer cancel()
	if err := s.storage.Unlock(ctx, lockName); err != nil {
		return fmt.Errorf("unlocking signing keys: %w", err)
	}
	return nil
}
