//! Consumers with selectors.

use super::*;

#[test]
fn a_selector_goes_on_as_it_was_written() {
    for (selector, expected) in
        [("JMSType = 'a' AND n > 5", Some("JMSType = 'a' AND n > 5")), (" ", None)]
    {
        let mut client = Client::connected();
        client.consumer(1, |info| info.selector = Some(selector.into()));
        let Operation::Subscribe { subscription, .. } = client.operation() else {
            panic!("it subscribes first")
        };
        assert_eq!(subscription.selector.as_deref(), expected);
    }
}

#[test]
fn one_that_cannot_be_read_is_refused_by_the_exception_of_jms() {
    let mut client = Client::connected();
    client.consumer(1, |info| info.selector = Some("n > ".into()));
    let (class, why) = client.expect_exception();
    assert_eq!(class, "javax.jms.InvalidSelectorException");
    assert!(why.starts_with("at column 5: expected a literal"), "{why}");
    assert!(client.session.poll_operation().is_none());
    assert!(!client.session.is_closed());
}
