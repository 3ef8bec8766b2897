// Package enrichtest holds what the tests of the gateway stand on: a
// scriptable OpenID provider ([Provider]) with keys in every algorithm and
// every fault that a key server has shown in the wild, a certified provider
// that runs beside the test and lets people log in ([StartOIDCProvider]), DPoP
// proofs, a clock that only moves when told to ([Clock]), and a legacy
// application that shows the bytes it received ([Legacy]).
//
// Everything listens on loopback only, on ports that the system picks, and
// stops with the test that started it. Only tests import this package.
package enrichtest
