"""What Dataflow's launcher starts: the recipe goes to the service, and the launcher ends."""

import sys

from corpusmill.pipelines.runners.flex_template import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
