//! What is missing and what is damaged is found, told and listed.

use std::collections::BTreeSet;

use trawler_upkeep::{Extent, Verified, VerifyOptions, What};

use crate::world::{World, key_of, silent};

async fn verify(world: &World, extent: Extent, repair: bool) -> Verified {
    let options = VerifyOptions {
        pipe: None,
        extent,
        repair: match repair {
            true => BTreeSet::from([world.shop.clone()]),
            false => BTreeSet::new(),
        },
    };
    world.upkeep.verify(&options, &silent).await.unwrap()
}

#[tokio::test]
async fn missing_and_damaged_objects_are_found_and_their_products_listed() {
    let world = World::new().await;
    // Products 7 and 8 share picture 7.
    let mut pictures: Vec<(u32, u32)> = (0..120).map(|n| (n, n)).collect();
    pictures[8].1 = 7;
    world.sell(0, &pictures).await;
    let sound = verify(&world, Extent::All, false).await;
    assert!(sound.is_sound());
    assert_eq!((sound.rows, sound.objects), (120, 119));

    let keys = [key_of(7), key_of(20)];
    world.ports.blobs.delete(&keys[..1]).await.unwrap();
    // As long as what was stored, and other bytes.
    world.mem.blobs.poke(&keys[1], b"picture 21");
    let found = verify(&world, Extent::All, false).await;
    assert_eq!((found.missing, found.damaged), (1, 1));
    assert_eq!((found.left, found.repairs.len()), (3, 0));
    let told: Vec<(&str, What)> = found
        .findings
        .iter()
        .map(|finding| (finding.product.as_str(), finding.what))
        .collect();
    let (missing, damaged) = (What::Missing, What::Damaged);
    let expected = [("00007", missing), ("00008", missing), ("00020", damaged)];
    assert_eq!(told, expected);
    assert!(world.stored().contains(&keys[1]), "looking touches nothing");

    let repaired = verify(&world, Extent::All, true).await;
    assert!(
        !world.stored().contains(&keys[1]),
        "a taken key is not written"
    );
    let [repair] = &repaired.repairs[..] else {
        panic!("{repaired:?}");
    };
    assert_eq!(repair.products, 3);
    let list = world.ports.blobs.get(&repair.list, None).await.unwrap();
    let list: Vec<String> = serde_json::from_slice(&list).unwrap();
    assert_eq!(list, ["00007", "00008", "00020"]);
}

#[tokio::test]
async fn a_sample_reads_as_many_rows_as_it_is_told_and_meets_all_in_time() {
    let world = World::new().await;
    let pictures: Vec<(u32, u32)> = (0..100).map(|n| (n, n)).collect();
    world.sell(0, &pictures).await;
    world.ports.blobs.delete(&[key_of(42)]).await.unwrap();
    let mut missing = 0;
    for _ in 0..10 {
        let found = verify(&world, Extent::Sample(10), false).await;
        assert_eq!(found.rows, 10);
        missing += found.missing;
        world.pass(crate::world::DAY);
    }
    assert_eq!(missing, 1);
}
