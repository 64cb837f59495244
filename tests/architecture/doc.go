// Package architecture holds hostdir's packages to their design: imports point
// down, only programs end the process, and every package says what it is for.
package architecture
