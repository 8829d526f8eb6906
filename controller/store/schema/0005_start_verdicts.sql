-- What the backend said about the card in its answer to the start, until the transaction has ended:
-- a JSON object of controller/store/verdicts.py, or NULL when it had nothing to act on.
ALTER TABLE transactions ADD COLUMN verdict TEXT;
