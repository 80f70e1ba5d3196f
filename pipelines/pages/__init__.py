"""What every page of this project stands on: who may reach it, how it starts, bounded pictures, one look.

`serving` listens and prints the address, `security` guards every answer, `renderers` decode pictures in processes of
their own, `kept` remembers what was made within a bound, `templates` and `static/` are the shell, the style and the
scripts that pages share. A page is a Starlette app of its own, in a package of its own.
"""
