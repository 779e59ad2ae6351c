// What `azd up` deploys where nothing is chosen: all VMs of the subscription, Service Bus Standard,
// identities only, no network of its own.
using '../main.bicep'

param environmentName = 'default'
param location = 'westeurope'
