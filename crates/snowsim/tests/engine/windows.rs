//! Windows over partitions longer than a stretch, shorter than one, and of one row.

use crate::world::{World, run};

#[tokio::test]
async fn whole_partition_windows_agree_with_group_by() {
    let world = World::new();
    let mut s = world.session().await;
    for (modulus, name) in [(3, "long"), (40_000, "short"), (200_000, "single")] {
        run(
            &mut s,
            &format!(
                "CREATE OR REPLACE TABLE {name} AS SELECT MOD(n, {modulus}) AS k, n, IFF(MOD(n, 7) = 0, NULL, n) AS m, \
                 DATEADD(second, n, '2024-01-01'::TIMESTAMP_NTZ) AS at FROM (SELECT SEQ8() AS n FROM TABLE(GENERATOR(ROWCOUNT => 200000)))"
            ),
        )
        .await;
        let wrong = format!(
            "SELECT COUNT(*), COUNT_IF(w.c <> g.c OR w.least <> g.least OR w.most <> g.most OR NOT EQUAL_NULL(w.d, g.d)) FROM \
             (SELECT k, COUNT(m) OVER (PARTITION BY k) AS c, MIN(n) OVER (PARTITION BY k) AS least, MAX(at) OVER (PARTITION BY k) AS most, \
              SUM(m) OVER (PARTITION BY k) AS d FROM {name}) w \
             JOIN (SELECT k, COUNT(m) AS c, MIN(n) AS least, MAX(at) AS most, SUM(m) AS d FROM {name} GROUP BY k) g ON w.k = g.k"
        );
        assert_eq!(run(&mut s, &wrong).await, [["200000", "0"]], "{name}");
    }
}
