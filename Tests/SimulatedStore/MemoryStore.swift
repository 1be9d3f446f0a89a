// The store in memory.
