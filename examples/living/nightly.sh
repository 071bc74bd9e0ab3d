#!/bin/sh
# What a scheduler runs each night: 0 and 3 (nothing new) are success, anything else is not.
code=0
corpusmill run recipe.yaml --metrics out/metrics.prom || code=$?
case $code in 0|3) corpusmill gc out/living --keep 30 ;; *) exit $code ;; esac
