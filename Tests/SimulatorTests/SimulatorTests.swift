// What the simulator must see.
