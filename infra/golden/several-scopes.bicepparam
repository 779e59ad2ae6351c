// VMs of several subscriptions and resource groups, scanned every night. The entries that name one
// subscription twice, in two spellings, come to one deployment there.
using '../main.bicep'

// As long as azd lets it be.
param environmentName = 'several-subscriptions-and-resource-groups-of-a-large-enterprise1'
param location = 'northeurope'
param assessScopes = [
  {
    subscriptionId: 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa'
    resourceGroups: ['rg-web', 'rg-data']
  }
  {
    subscriptionId: 'AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA'
    resourceGroups: ['RG-Web', 'rg-batch']
  }
  {
    subscriptionId: 'bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb'
    resourceGroups: ['rg-web']
  }
  {
    subscriptionId: 'bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb'
  }
  {
    subscriptionId: '11111111-1111-1111-1111-111111111111'
    resourceGroups: ['rg-shop']
  }
]
param scanScopes = '/subscriptions/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa,/subscriptions/bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb'
param scanTags = 'patching=weekly'
param scaleOnQueueLength = false
param alwaysReady = [
  {
    name: 'function:start_assessment'
    instanceCount: 1
  }
]
param rollingUpdates = true
