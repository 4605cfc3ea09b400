"""chrF of sacrebleu and ROUGE-L of rouge-score, for pairs of texts read from standard input as JSON.

Without rouge-score its definition stands in: words are what is left of small letters and digits, the table of Lin 2004 in full.
"""
import json
import re
import sys

from sacrebleu.metrics import CHRF

try:
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)

    def rouge(expected, text):
        return scorer.score(expected, text)["rougeL"].fmeasure
except ImportError:

    def words(text):
        return [word for word in re.split(r"\s+", re.sub(r"[^a-z0-9]+", " ", text.lower())) if word]

    def rouge(expected, text):
        a, b = words(expected), words(text)
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
        common = table[len(a)][len(b)]
        if common == 0:
            return 0
        precision, recall = common / len(b), common / len(a)
        return 2 * precision * recall / (precision + recall)


pairs = json.load(sys.stdin)
chrf = [CHRF().corpus_score([text], [[expected]]).score for text, expected in pairs]
corpus = CHRF().corpus_score([text for text, _ in pairs], [[expected for _, expected in pairs]]).score
json.dump({"rouge": [rouge(expected, text) for text, expected in pairs], "chrf": chrf, "corpus": corpus}, sys.stdout)
