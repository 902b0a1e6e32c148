// Messages between real processes that are all busy: nothing lost, nothing doubled, order per sender.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testDriver } from '../testing/driver.js';
import { withPeers } from '../testing/peers.js';
import { tell } from './advance.test-roles.js';

const ROLES = new URL('./advance.test-roles.js', import.meta.url);
const COUNT = 3000;

test('two processes that both send and read, and a third that sends to both, lose and double nothing', () =>
  withPeers(
    ROLES,
    2,
    (peers, machine) => {
      const { words, base } = machine.driver('test');
      peers.play(0, 'gossip', peers.actor(1), COUNT, 2);
      peers.play(1, 'gossip', peers.actor(0), COUNT, 2);
      while (words.load(base + 2) < 2); // they have read their parts
      tell(machine, peers.actor(0), COUNT);
      tell(machine, peers.actor(1), COUNT);
      const results = peers.results() as [number, number][];
      assert.equal(
        results.map(([received]) => received),
        [2 * COUNT, 2 * COUNT],
      );
      const refused = results.reduce((sum, [, count]) => sum + count, 0);
      assert.ok(refused > 0, 'the mailboxes were full at times');
    },
    { drivers: [testDriver()], tables: { mailSlots: 8, mailBytes: 64 } },
  ));

test.run();
