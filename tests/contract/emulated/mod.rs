//! The AWS adapter in the suites, over the wire against an emulator, where
//! time really has to pass: the cases of a suite wait side by side.

mod at_once;
mod queue;

/// The tests of one topic. All topics begin with the first test of any.
macro_rules! cases_at_once {
    ($fresh:path, [queue::$topic:ident], [$($case:ident),* $(,)?]) => {
        mod $topic {
            use crate::emulated::at_once::Cases;

            static CASES: Cases = Cases::new();

            pub(super) fn begin() {
                CASES.begin(|| vec![$((
                    stringify!($case),
                    Box::pin(async {
                        let _beside = crate::machine::beside().await;
                        crate::queue::$topic::$case($fresh().await).await;
                    }),
                )),*]);
            }

            $(
                #[test]
                fn $case() {
                    super::begin();
                    CASES.join(stringify!($case));
                }
            )*
        }
    };
}

mod sqs {
    queue_contract!(crate::emulated::queue::SqsHarness::fresh, cases_at_once);

    fn begin() {
        order::begin();
        send::begin();
        lease::begin();
        dead::begin();
        poll::begin();
        durable::begin();
    }
}
