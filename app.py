"""Opens the app; also the Space's entry point.

    python app.py [--checkpoint DIR_OR_HUB_ID] [--beside DIR_OR_HUB_ID] [--data ROOT] [--host H] [--port P]

or, in the environment, FOODKD_CHECKPOINT, FOODKD_BESIDE, FOODKD_DATA, GRADIO_SERVER_NAME and GRADIO_SERVER_PORT.
"""

import argparse
import os
import sys
from pathlib import Path

from foodkd.errors import FoodkdError


def main() -> int:
    """Load the pair, open the app, serve until interrupted; 1 where it can't, with one sentence why."""
    parser = argparse.ArgumentParser(description="foodkd: teacher and student look at a meal.")
    checkpoint = os.environ.get("FOODKD_CHECKPOINT", "checkpoints/food101-64")
    parser.add_argument("--checkpoint", metavar="DIR_OR_HUB_ID", default=checkpoint)
    beside, data = (os.environ.get(name) or None for name in ("FOODKD_BESIDE", "FOODKD_DATA"))
    parser.add_argument("--beside", metavar="DIR_OR_HUB_ID", default=beside, help="a second pair to compare with")
    parser.add_argument("--data", type=Path, default=data, help="the dataset's root, to see the test set's photos")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME"), help="address to listen on")
    parser.add_argument("--port", type=_port, help="default: GRADIO_SERVER_PORT, or the first free one from 7860")
    options = parser.parse_args()
    from foodkd.nets import Pair

    try:
        pair = Pair.load(options.checkpoint)
        second = Pair.load(options.beside) if options.beside else None
        from foodkd.ui import build_app, launch  # gradio takes seconds to import: a wrong checkpoint is told before

        launch(build_app(pair, data=options.data, beside=second), host=options.host, port=options.port)
    except (FoodkdError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _port(given: str) -> int:
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise argparse.ArgumentTypeError(f"'{given}' is no port; give a number from 1 to 65535")
    return int(given)


if __name__ == "__main__":
    sys.exit(main())
