// Filled by libpq, when it is loaded.
