"""Microbenchmarks of the machines without I/O: what one operation costs in CPU time, instructions and memory.

    suite           all benchmarks, in the order shown
    benchmark       the description of one
    events, limits, posts, protocols, requests, rooms, timers   the benchmarks, by subject
    inputs          what they work on: texts, messages, stand-ins for a connection and an engine
    timing          CPU time: calibrated loops, interleaved rounds
    instructions    executed bytecode instructions: the same on every machine
    memory          what one operation allocates and keeps
    callgrind       machine instructions of one benchmark, under valgrind
    baseline        the committed counts and what may be added to them
    report, compare the result, and what changed since an earlier one
    cli             the command `hubbub bench micro`

To add one: write a function that prepares and returns the call, and add a `Benchmark` to the module of its subject.
Nothing here opens a socket or a file of the product's.
"""
