-- The settings and the importance of models that were trained before are unknown,
-- and nobody judged them.
ALTER TABLE models
    ADD COLUMN settings   jsonb,
    ADD COLUMN importance jsonb   NOT NULL DEFAULT '[]',
    ADD COLUMN promoted   boolean NOT NULL DEFAULT false,
    ADD COLUMN verdict    text    NOT NULL DEFAULT 'trained before models were judged',
    ALTER COLUMN bytes DROP NOT NULL;
ALTER TABLE models
    ALTER COLUMN importance DROP DEFAULT,
    ALTER COLUMN promoted   DROP DEFAULT,
    ALTER COLUMN verdict    DROP DEFAULT;

COMMENT ON TABLE models IS 'Trained models, those that were found wanting too; models_in_use says which of them make the forecasts';
COMMENT ON COLUMN models.settings IS 'What else than the rows and features decided how it was learnt; NULL where it was trained before that was kept';
COMMENT ON COLUMN models.importance IS 'By how much the pinball loss on the newest month rises when the values of a feature are shuffled, in basis points, '
    'the most important feature first; empty where no month could be measured';
COMMENT ON COLUMN models.promoted IS 'Whether it was found good enough to make forecasts when it was trained';
COMMENT ON COLUMN models.verdict IS 'Why so, in words';
COMMENT ON COLUMN models.bytes IS 'The model in its own file format, versioned and checksummed; NULL where it was pruned, and only the record kept';

CREATE TABLE model_promotions (
    id          bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id    bigint           NOT NULL REFERENCES models (id),
    promoted_at timestamptz      NOT NULL DEFAULT now(),
    promoted_by text COLLATE "C" NOT NULL,
    reason      text             NOT NULL,
    CONSTRAINT model_promotions_promoted_by_check CHECK (promoted_by IN ('gate', 'request'))
);
CREATE INDEX model_promotions_model ON model_promotions (model_id, id DESC);

COMMENT ON TABLE model_promotions IS 'When which model was put to use; of the models of a series, the one of the last row is in use';
COMMENT ON COLUMN model_promotions.id IS 'Number of the promotion; later ones are higher';
COMMENT ON COLUMN model_promotions.model_id IS 'Model that was put to use';
COMMENT ON COLUMN model_promotions.promoted_at IS 'When';
COMMENT ON COLUMN model_promotions.promoted_by IS 'gate where its training put it to use, being good enough, request where a person did';
COMMENT ON COLUMN model_promotions.reason IS 'Why, in words';

CREATE VIEW models_in_use AS
SELECT DISTINCT ON (m.symbol, m.interval)
    m.symbol, m.interval, p.model_id, p.promoted_at AS in_use_since, p.promoted_by, p.reason
FROM model_promotions AS p JOIN models AS m ON m.id = p.model_id
ORDER BY m.symbol, m.interval, p.id DESC;

COMMENT ON VIEW models_in_use IS 'The model that makes the forecasts, by series';
COMMENT ON COLUMN models_in_use.symbol IS 'Traded pair whose candles it forecasts';
COMMENT ON COLUMN models_in_use.interval IS 'Interval of the candles that it forecasts';
COMMENT ON COLUMN models_in_use.model_id IS 'Number of the model';
COMMENT ON COLUMN models_in_use.in_use_since IS 'When it was put to use last';
COMMENT ON COLUMN models_in_use.promoted_by IS 'gate where its training put it to use, request where a person did';
COMMENT ON COLUMN models_in_use.reason IS 'Why, in words';

-- This migration, undone, leaves a file without content where it was pruned.
UPDATE models SET bytes = NULL WHERE bytes = '';

-- What made the forecasts goes on to.
WITH newest AS (
    UPDATE models SET promoted = true
    WHERE id IN (
        SELECT DISTINCT ON (symbol, interval) id FROM models
        WHERE bytes IS NOT NULL ORDER BY symbol, interval, window_end DESC, trained_at DESC)
    RETURNING id, trained_at, verdict
)
INSERT INTO model_promotions (model_id, promoted_at, promoted_by, reason)
SELECT id, trained_at, 'gate', verdict FROM newest ORDER BY id;
