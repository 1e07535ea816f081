"""python -m refcodec."""

from refcodec.cli import main

raise SystemExit(main())
