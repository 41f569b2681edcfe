"""Identity: who has an account, which tokens stand for whom, and the rules of both. Sans-I/O, as `engine.core`.

Read `records` first, then `rules` and `lifetimes`; `ports` is what a store of accounts promises.
"""
