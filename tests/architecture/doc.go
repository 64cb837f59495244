// Package architecture holds hostdir's packages to their design: imports point
// down, only programs end the process, every package says what it is for, and
// docs/ names what users see.
package architecture
