# Scores the connections that a test gives by the random forest of scikit-learn, and prints the AUC.
import json
import sys

from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

given = json.load(sys.stdin)
scores = [
    cross_val_score(
        RandomForestClassifier(n_estimators=100, random_state=seed),
        given["rows"],
        given["classes"],
        scoring="roc_auc",
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
    ).mean()
    for seed in range(2)
]
print(sum(scores) / len(scores))
