/** Of all transactional messages of this service: its check-back answers for each of them. */
export const PRODUCER_GROUP = 'payment';
