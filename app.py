"""Opens the app; also the Space's entry point.

    python app.py [--checkpoint DIR_OR_HUB_ID] [--host H] [--port P]

or, in the environment, FOODKD_CHECKPOINT, GRADIO_SERVER_NAME and GRADIO_SERVER_PORT.
"""

import argparse
import os
import sys

from foodkd.errors import FoodkdError


def main() -> int:
    """Load the pair, open the app, serve until interrupted; 1 where it can't, with one sentence why."""
    parser = argparse.ArgumentParser(description="foodkd: teacher and student look at a meal.")
    parser.add_argument(
        "--checkpoint", metavar="DIR_OR_HUB_ID", default=os.environ.get("FOODKD_CHECKPOINT", "checkpoints/food101-64")
    )
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME"), help="address to listen on")
    parser.add_argument("--port", type=int, help="default: GRADIO_SERVER_PORT, or the first free one from 7860")
    options = parser.parse_args()
    from foodkd.nets import Pair
    from foodkd.ui import build_app, launch

    try:
        launch(build_app(Pair.load(options.checkpoint)), host=options.host, port=options.port)
    except (FoodkdError, OSError, OverflowError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
