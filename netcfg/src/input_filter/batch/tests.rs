use super::*;

fn closed(texts: &[&str]) -> BTreeSet<Closed> {
    texts.iter().map(|text| Closed::new(text.parse().unwrap(), 7)).collect()
}

/// The messages' kinds, each with its flags, number and attributes.
fn messages(mut bytes: &[u8]) -> Vec<(u16, u16, u32, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = usize::try_from(long(0)).unwrap();
        assert_eq!(length % 4, 0, "every message ends where the next may begin");
        found.push((word(4), word(6), long(8), bytes[20..length].to_vec()));
        bytes = &bytes[length..];
    }
    found
}

/// Walks the attributes, those within others too; how many there are.
fn walk(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]);
        assert!((4..=bytes.len()).contains(&length), "{length} of {}", bytes.len());
        count += 1;
        if kind & NESTED != 0 {
            count += walk(&bytes[4..length]);
        }
        bytes = &bytes[length.next_multiple_of(4)..];
    }
    count
}

fn kinds(batch: &Batch) -> Vec<u16> {
    messages(batch.bytes()).into_iter().map(|(kind, ..)| kind).collect()
}

#[test]
fn a_table_is_replaced_by_one_batch() {
    let batch = Batch::new("t", 5, &closed(&["192.0.2.1", "fe80::1"]), true);
    let expected = [
        [BATCH_BEGIN, NEW_TABLE, DELETE_TABLE, NEW_TABLE, NEW_CHAIN, NEW_SET].as_slice(),
        &[NEW_ELEMENTS, NEW_SET, NEW_RULE, NEW_RULE, NEW_RULE, NEW_RULE, NEW_RULE, BATCH_END],
    ];
    assert_eq!(kinds(&batch), expected.concat());
    let all = messages(batch.bytes());
    let numbers: Vec<u32> = all.iter().map(|&(_, _, number, _)| number).collect();
    assert_eq!(numbers, (5..5 + 14).collect::<Vec<u32>>());
    assert_eq!(batch.last(), 5 + 12, "the end is not answered");
    let is_answered = |&(kind, flags, ..): &(u16, u16, u32, Vec<u8>)| {
        (flags & ACK != 0) == (kind != BATCH_BEGIN && kind != BATCH_END)
    };
    assert!(all.iter().all(is_answered), "{all:?}");
    assert!(all.iter().map(|(_, _, _, attributes)| walk(attributes)).sum::<usize>() > 100);
}

#[test]
fn a_table_that_is_not_to_be_is_deleted_whether_or_not_it_is_there() {
    let batch = Batch::new("t", 1, &closed(&[]), false);
    assert_eq!(kinds(&batch), [BATCH_BEGIN, NEW_TABLE, DELETE_TABLE, BATCH_END]);
}

#[test]
fn every_table_belongs_to_its_socket() {
    for (kind, _, _, attributes) in messages(Batch::new("t", 1, &closed(&[]), true).bytes()) {
        if kind == NEW_TABLE {
            assert_eq!(attributes, [text(1, "t"), number(2, OWNER)].concat());
        }
    }
}

#[test]
fn many_addresses_go_in_lists_of_a_length_that_can_be_written() {
    let many = (0..2500_u32).map(|number| Closed::new(IpAddr::V6((u128::from(number) + 1).into()), 7));
    let batch = Batch::new("t", 1, &many.collect(), true);
    let lists: Vec<usize> = messages(batch.bytes())
        .into_iter()
        .filter(|(kind, ..)| *kind == NEW_ELEMENTS)
        .map(|(_, _, _, attributes)| walk(&attributes))
        .collect();
    // Table, set, number, list; and three for each element.
    assert_eq!(lists, [3004, 3004, 1504]);
}
