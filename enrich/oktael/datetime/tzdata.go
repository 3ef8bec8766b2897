package datetime

// The zones must be found in a container that has no zone files, too. A
// library does not commonly embed the database; this one is built into
// programs whose main package is generated, and a claim must not depend
// on the image that it was computed in.
import _ "time/tzdata"
