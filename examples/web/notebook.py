# The corpus in Python, cell by cell: run the recipe, look at what was dropped and why, try a step, use the result.
# %%
import corpusmill
from corpusmill.steps import Clean, Length, Minhash

result = corpusmill.run("recipe.yaml")
print(result)

# %% the funnel: every row is in it
for step in result.funnel["steps"]:
    print(f"{step['name']:<20} {step['rows_in']:>6} -> {step['rows_out']:>6}  {step['dropped']}")

# %% what was dropped, and one document's way
corpus = corpusmill.open("out/web")
near = corpus.dropped(step="minhash")
first = near.to_pylist()[0]
print(first["id"], "is a near-duplicate of", first["survivor"])
print(corpus.why(first["id"])["history"])
print(corpus.pairs().to_pandas().head())

# %% steps on data in memory
frame = corpus.to_pandas()
long = Length(min_words=120)(frame)
print(f"{len(long)} of {len(frame)} documents have 120 words or more")
print(Minhash(threshold=0.6)(Clean()(["one and the same text here", "One and the same text, here!"])))

# %% another recipe from Python values
shorter = corpusmill.Recipe(
    name="short",
    sources=[{"name": "web", "path": "out/web/data/*.parquet"}],
    steps=[Length(max_words=120), "exact"],
    output="out/short",
)
print(repr(corpusmill.run(shorter)))
