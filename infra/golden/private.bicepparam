// Closed to the public network: one setting, and what goes well with it.
using '../main.bicep'

param environmentName = 'private'
param location = 'swedencentral'
param privateNetwork = true
param zoneRedundant = true
param senderGroupId = '33333333-3333-3333-3333-333333333333'
param consumerGroupId = '44444444-4444-4444-4444-444444444444'
param allowedScopes = '/subscriptions/11111111-1111-1111-1111-111111111111'
param tags = {
  owner: 'platform team'
  costCenter: '4711'
}
