import type { BrokerPort } from '#libs/messaging/port';
import { describeBrokerConformance } from '../../messaging/src/conformance/index.js';
import type { BrokerUnderTest, ClientOptions } from '../../messaging/src/conformance/index.js';
import { connectKafkaBroker } from './connect-kafka-broker.js';
import { brokersUnderTest, quietLog } from './testing/kafka-under-test.js';
import { refusalsOf, refusedRows } from './testing/readme-table.js';
import { unsupported } from './unsupported.js';

/** The node goes on when the suite asks for a restart: what is tried is that clients which begin anew find everything. */
class KafkaUnderTest implements BrokerUnderTest {
  connect(clientName: string, options: ClientOptions = {}): BrokerPort {
    if (options.producer !== undefined) throw unsupported('named producers', options.producer.name);
    return connectKafkaBroker({
      brokers: brokersUnderTest(),
      clientName,
      log: quietLog,
      times: { sessionTimeoutMs: 6_000, heartbeatMs: 200, rebalanceTimeoutMs: 3_000 },
    });
  }

  async restart(): Promise<void> {
    // See above.
  }

  async keepTrace(): Promise<void> {
    // There is none.
  }

  enforceRetention(): void {
    throw new Error('retention is a setting of the topic in Kafka');
  }

  async close(): Promise<void> {
    // The node belongs to the run.
  }
}

describeBrokerConformance(
  'Kafka',
  async () => new KafkaUnderTest(),
  refusalsOf([...refusedRows('Refused'), ...refusedRows('Different')]),
);
