"""One file per recording format; each knows one way in which vehicles write what they saw."""
